<?php

declare(strict_types=1);

namespace Demo;

use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Exception\InvalidArgumentException;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;
use Symfony\Component\Messenger\MessageBusInterface;

/** Fills the queue. */
final class SendCommand extends Command
{
    public function __construct(private readonly MessageBusInterface $bus)
    {
        parent::__construct('demo:send');
    }

    protected function configure(): void
    {
        $this->setDescription('Send messages, numbered from 1')
            ->addArgument('count', InputArgument::REQUIRED, 'How many')
            ->addArgument('seconds', InputArgument::REQUIRED, 'How long each takes to handle');
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $count = filter_var($input->getArgument('count'), FILTER_VALIDATE_INT, ['options' => ['min_range' => 1]]);
        $seconds = filter_var($input->getArgument('seconds'), FILTER_VALIDATE_FLOAT, ['options' => ['min_range' => 0]]);
        if (false === $count || false === $seconds) {
            throw new InvalidArgumentException('COUNT is a whole number from 1, SECONDS a number from 0.');
        }
        for ($number = 1; $number <= $count; ++$number) {
            $this->bus->dispatch(new Work($number, $seconds));
        }
        $output->writeln("messages sent: $count");

        return Command::SUCCESS;
    }
}
