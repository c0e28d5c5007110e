<?php

declare(strict_types=1);

namespace Shop;

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpKernel\Kernel as BaseKernel;

/** FrameworkBundle as it comes: its wiring of the worker is what the proof is about. */
final class Kernel extends BaseKernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle()];
    }

    /** The application's folder is read-only. */
    public function getCacheDir(): string
    {
        return '/tmp/symfony/cache';
    }

    public function getLogDir(): string
    {
        return '/tmp/symfony/log';
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'unused',
            'messenger' => [
                'transports' => ['async' => [
                    'dsn' => '%env(REDIS_URL)%', // its path, /0, names the stream
                    // Each worker must have a name of its own: https://symfony.com/doc/current/messenger.html#redis-transport
                    'options' => ['consumer' => '%env(HOSTNAME)%'],
                ]],
                'routing' => [Order::class => 'async'],
            ],
        ]);
        $services = $container->services()->defaults()->autowire()->autoconfigure();
        $services->set(OrderHandler::class);
        $services->set(SendCommand::class);
    }
}
