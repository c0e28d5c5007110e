<?php

declare(strict_types=1);

namespace Demo;

/** Does the work, and says when it begins and ends; a message that begins and does not end was lost. */
final class WorkHandler
{
    public function __invoke(Work $work): void
    {
        $this->say("message {$work->number} begins");
        $end = microtime(true) + $work->seconds;
        // A signal cuts a sleep short, but real work would go on.
        while (0 < $left = $end - microtime(true)) {
            usleep((int) ceil($left * 1e6));
        }
        $this->say("message {$work->number} ends");
    }

    /** Straight to standard output: neither `--quiet` nor a buffer may hold the line back. */
    private function say(string $line): void
    {
        fwrite(STDOUT, $line."\n");
        fflush(STDOUT);
    }
}
