<?php

// Finds Symfony in Debian's packages, and the classes in src/.

declare(strict_types=1);

require_once '/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php';
require_once '/usr/share/php/Symfony/Component/Messenger/autoload.php';
require_once '/usr/share/php/Symfony/Component/Messenger/Bridge/Redis/autoload.php';

spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'Shop\\')) {
        require __DIR__.'/src/'.substr($class, strlen('Shop\\')).'.php';
    }
});
