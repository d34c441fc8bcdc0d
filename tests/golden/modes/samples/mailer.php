<?php

namespace App\Mail;

use App\Log\Logger;
use RuntimeException;

/** Sends what waits in the queue. */
final class Mailer
{
    private array $queue = [];

    public function __construct(private Logger $logger, private int $limit = 10)
    {
    }

    public function push(string $to, string $subject, array $options = []): void
    {
        if (strpos($to, '@') === false) {
            throw new RuntimeException("not an address: $to");
        } elseif (count($this->queue) >= $this->limit) {
            $this->logger->warn('queue is full');
            array_shift($this->queue);
        } else {
            $this->logger->info("queued for {$to}");
        }
        $this->queue[] = [
            'to' => $to,
            'subject' => $subject,
            'options' => $options,
        ];
    }

    public function flush(callable $send): int
    {
        $sent = 0;
        foreach ($this->queue as $index => $mail) {
            try {
                if ($send($mail['to'], $mail['subject'])) {
                    $sent++;
                    unset($this->queue[$index]);
                }
            } catch (RuntimeException $error) {
                $this->logger->warn($error->getMessage());
                break;
            } finally {
                $this->logger->info('one more');
            }
        }
        return $sent;
    }

    public function priority(string $subject): int
    {
        switch (true) {
            case str_starts_with($subject, 'urgent'):
                $level = 3;
                break;
            case $subject === '':
                return 0;
            default:
                $level = 1;
        }
        for ($i = 0; $i < strlen($subject); $i++) {
            if ($subject[$i] === '!') {
                $level++;
            }
        }
        return $level;
    }

    public function recipients(): array
    {
        $names = array_map(function ($mail) {
            if (isset($mail['options']['name'])) {
                return $mail['options']['name'];
            }
            return $mail['to'];
        }, $this->queue);
        while (count($names) > 5) {
            array_pop($names);
        }
        return array_unique($names);
    }
}
