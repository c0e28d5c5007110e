<?php

// A worker of no known framework that handles no signal.

require __DIR__ . '/worker.php';

witness('w');
while (true) {
    message('w');
}
