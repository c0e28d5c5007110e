<?php

// Finds Symfony, from Composer or from Debian's packages, and the classes in src/.

declare(strict_types=1);

spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'Demo\\')) {
        require __DIR__.'/src/'.substr($class, strlen('Demo\\')).'.php';
    }
});

if (is_file(__DIR__.'/vendor/autoload.php')) {
    require __DIR__.'/vendor/autoload.php';

    return;
}

$autoloaders = [
    'php-symfony-console' => '/usr/share/php/Symfony/Component/Console/autoload.php',
    'php-symfony-event-dispatcher' => '/usr/share/php/Symfony/Component/EventDispatcher/autoload.php',
    'php-symfony-messenger' => '/usr/share/php/Symfony/Component/Messenger/autoload.php',
];
$missing = array_keys(array_filter($autoloaders, fn (string $file): bool => !is_file($file)));
if ($missing) {
    fwrite(STDERR, 'Symfony is not installed: apt-get install '.implode(' ', $missing)."\n");
    exit(78); // EX_CONFIG of sysexits.h
}
foreach ($autoloaders as $file) {
    require_once $file;
}
