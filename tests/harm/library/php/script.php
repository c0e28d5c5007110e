<?php

// A worker of no known framework that handles TERM.

require __DIR__ . '/worker.php';

consume([]);
