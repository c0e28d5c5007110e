<?php

// A worker of nobody's that hears nothing.

require __DIR__ . '/worker.php';

witness('w');
while (true) {
    message('w');
}
