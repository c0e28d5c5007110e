<?php

declare(strict_types=1);

namespace Shop;

/** The message. */
final class Order
{
    public function __construct(
        public readonly string $job,
        public readonly float $seconds,
        public readonly bool $crash,
    ) {
    }
}
