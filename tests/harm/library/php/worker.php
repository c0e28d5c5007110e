<?php

// The counterpart of worker.py for PHP.

declare(strict_types=1);

const FOLDER = '/journal';
const LATER = 5.0;

function note(string $line): void
{
    file_put_contents(FOLDER . '/journal', "$line\n", FILE_APPEND);
}

function witness(string $name): void
{
    foreach (['environ' => 'self/environ', 'status' => 'self/status', 'first' => '1/cmdline'] as $suffix => $source) {
        file_put_contents(FOLDER . "/$name.$suffix", file_get_contents("/proc/$source"));
    }
}

function message(string $name): void
{
    $late = file_exists(FOLDER . '/deleted');
    note("begin $name");
    for ($begin = microtime(true); $late ? microtime(true) - $begin < LATER : !file_exists(FOLDER . '/release');) {
        clearstatcache();
        usleep(20_000);
    }
    note("end $name");
    touch(FOLDER . '/ended');
    echo "$name has handled a message\n";
}

/** Handles messages until TERM, or until as many as the option --limit says. */
function consume(array $argv): void
{
    witness('w');
    $stop = false;
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, function () use (&$stop): void {
        note($stop ? 'heard TERM again' : 'heard TERM');
        $stop = true;
    });
    $limit = PHP_INT_MAX;
    foreach ($argv as $word) {
        if (str_starts_with($word, '--limit=')) {
            $limit = (int) substr($word, 8);
        }
    }
    while (!$stop && $limit-- > 0) {
        message('w');
    }
    note('left w');
}
