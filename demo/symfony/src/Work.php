<?php

declare(strict_types=1);

namespace Demo;

/** The message: something to do that takes a while. */
final class Work
{
    public function __construct(
        public readonly int $number,
        public readonly float $seconds,
    ) {
    }
}
