<?php

declare(strict_types=1);

namespace Shop;

use Symfony\Component\Console\Attribute\AsCommand;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;
use Symfony\Component\Messenger\MessageBusInterface;

#[AsCommand('send')]
final class SendCommand extends Command
{
    public function __construct(private readonly MessageBusInterface $bus)
    {
        parent::__construct();
    }

    protected function configure(): void
    {
        $this->addArgument('orders', InputArgument::IS_ARRAY, 'ID:SECONDS or ID:SECONDS:crash');
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        foreach ($input->getArgument('orders') as $order) {
            [$job, $seconds, $crash] = explode(':', $order) + [2 => ''];
            $this->bus->dispatch(new Order($job, (float) $seconds, 'crash' === $crash));
        }

        return Command::SUCCESS;
    }
}
