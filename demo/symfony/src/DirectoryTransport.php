<?php

declare(strict_types=1);

namespace Demo;

use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Exception\MessageDecodingFailedException;
use Symfony\Component\Messenger\Exception\TransportException;
use Symfony\Component\Messenger\Stamp\TransportMessageIdStamp;
use Symfony\Component\Messenger\Transport\Serialization\PhpSerializer;
use Symfony\Component\Messenger\Transport\TransportInterface;

/**
 * A queue that needs no server: a directory with one file per message.
 *
 * Its name's ending is a message's state: `.json` waiting, `.taken` in work, `.failed` rejected. Nothing gives a message
 * back whose worker died, so a `.taken` file without a worker is a lost message.
 */
final class DirectoryTransport implements TransportInterface
{
    private readonly PhpSerializer $serializer;

    public function __construct(private readonly string $directory)
    {
        if (!is_dir($directory) || !is_writable($directory)) {
            throw new TransportException("QUEUE_DIRECTORY must name a writable directory; it is \"$directory\".");
        }
        $this->serializer = new PhpSerializer();
    }

    public function get(): iterable
    {
        $names = scandir($this->directory) ?: throw new TransportException("{$this->directory} cannot be read.");
        foreach ($names as $name) {
            $id = basename($name, '.json');
            // A rename succeeds for one worker only; where it fails, another worker was faster.
            if ($id === $name || !@rename($this->path($id, 'json'), $this->path($id, 'taken'))) {
                continue;
            }
            try {
                $encoded = json_decode((string) file_get_contents($this->path($id, 'taken')), true);
                $envelope = $this->serializer->decode(is_array($encoded) ? $encoded : []);
            } catch (MessageDecodingFailedException $failure) {
                $this->move($id, 'taken', 'failed');
                throw $failure;
            }

            return [$envelope->with(new TransportMessageIdStamp($id))];
        }

        return [];
    }

    public function ack(Envelope $envelope): void
    {
        if (!unlink($this->path($this->id($envelope), 'taken'))) {
            throw new TransportException('A handled message could not be removed.');
        }
    }

    public function reject(Envelope $envelope): void
    {
        $this->move($this->id($envelope), 'taken', 'failed');
    }

    public function send(Envelope $envelope): Envelope
    {
        $id = uniqid('', true); // begins with the time, so that names sort by age
        // Under another name until it is complete, so that no worker takes half a message.
        $json = json_encode($this->serializer->encode($envelope), JSON_THROW_ON_ERROR);
        if (false === file_put_contents($this->path($id, 'new'), $json)) {
            throw new TransportException('A message could not be written.');
        }
        $this->move($id, 'new', 'json');

        return $envelope->with(new TransportMessageIdStamp($id));
    }

    private function id(Envelope $envelope): string
    {
        return $envelope->last(TransportMessageIdStamp::class)->getId();
    }

    private function move(string $id, string $from, string $to): void
    {
        if (!rename($this->path($id, $from), $this->path($id, $to))) {
            throw new TransportException("A message could not be renamed from .$from to .$to.");
        }
    }

    private function path(string $id, string $state): string
    {
        return "{$this->directory}/$id.$state";
    }
}
