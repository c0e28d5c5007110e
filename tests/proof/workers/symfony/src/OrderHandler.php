<?php

declare(strict_types=1);

namespace Shop;

use Symfony\Component\Messenger\Attribute\AsMessageHandler;

require_once '/shared/ledger.php';

#[AsMessageHandler]
final class OrderHandler
{
    public function __invoke(Order $order): void
    {
        \handle($order->job, $order->seconds, $order->crash);
    }
}
