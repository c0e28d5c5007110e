<?php

// The job of every worker of the proof, and the ledger to which it writes.

declare(strict_types=1);

/** Works until a deadline: a signal can end a sleep early, but not the job. */
function handle(string $job, float $seconds, bool $crash): void
{
    record('start', $job);
    $deadline = hrtime(true) + (int) round($seconds * 1e9);
    while (0 < $left = $deadline - hrtime(true)) {
        usleep((int) ceil(min($left / 1e3, 50_000)));
    }
    if (!$crash) {
        record('end', $job);

        return;
    }
    record('crash', $job);
    exit(70); // like a fatal error: neither `catch` nor `finally` runs
}

/** Writes one line with one write, so that the lines of several processes never mix. */
function record(string $event, string $job): void
{
    $line = sprintf("%d %s %s %s\n", hrtime(true), $event, $job, getenv('HOSTNAME'));
    $ledger = fopen((string) getenv('LEDGER'), 'a');
    if (!$ledger || strlen($line) !== fwrite($ledger, $line)) {
        throw new RuntimeException('The ledger cannot be written.');
    }
    fclose($ledger);
}
