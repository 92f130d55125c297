<?php

// Webhook receiver: verify, deduplicate, apply in one transaction, then answer.
// Needs PHP 8.1 or newer with PDO SQLite; works with the built-in server and with PHP-FPM.
//
//   WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:9000 receiver.php

declare(strict_types=1);

const TOLERANCE_SECONDS = 300;
const SCHEMA = <<<SQL
    CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, data TEXT NOT NULL, state TEXT NOT NULL);
    SQL;

/** Standard Webhooks 1.0: one valid v1 signature among those in the header is enough. */
function isValid(string $body, string $secret, int $now): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    if ($id === '' || !$key || !preg_match('/^\d{1,11}$/D', $timestamp)) {
        return false;
    }
    if (abs($now - (int) $timestamp) > TOLERANCE_SECONDS) {
        return false;
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $offered) {
        if (hash_equals($expected, $offered)) { // In constant time.
            return true;
        }
    }
    return false;
}

/** Parse a webhook; null if the body is malformed. */
function parse(string $body): ?array
{
    $webhook = json_decode($body, true);
    $isWebhook = is_string($webhook['type'] ?? null) && is_array($webhook['data'] ?? null);
    return $isWebhook ? $webhook : null;
}

function database(): PDO
{
    $database = new PDO('sqlite:' . (getenv('DATABASE') ?: __DIR__ . '/receiver.db'));
    $database->setAttribute(PDO::ATTR_TIMEOUT, 10);
    $database->exec('PRAGMA journal_mode = WAL');
    $database->exec(SCHEMA);
    return $database;
}

/** Apply a webhook once: its id and its effect are stored in the same transaction. */
function process(string $id, array $webhook): void
{
    $database = database();
    $database->exec('BEGIN IMMEDIATE');
    $insert = $database->prepare('INSERT OR IGNORE INTO webhooks VALUES (?)');
    $insert->execute([$id]);
    $line = $insert->rowCount() === 1 ? apply($database, $id, $webhook) : null;
    $database->exec('COMMIT');
    if ($line !== null) {
        file_put_contents('php://stdout', "$line\n");
    }
}

/** Your business logic. A slow step belongs into a job that reads `entries` after the answer. */
function apply(PDO $database, string $id, array $webhook): string
{
    $original = $webhook['original'] ?? null;
    switch ($webhook['type']) {
        case 'log.emitted':
        case 'transfer.emitted':
            $database->prepare("INSERT INTO entries VALUES (?, ?, 'applied')")
                ->execute([$id, json_encode($webhook['data'])]);
            return "applied $id " . position($webhook['data']);
        case 'log.removed': // A reorg removed the log: undo the effect of `original`.
        case 'transfer.removed':
            $database->prepare("UPDATE entries SET state = 'reversed' WHERE id = ?")->execute([$original]);
            return "reversed $original";
        case 'log.finalized': // No reorg can remove the log any more.
        case 'transfer.finalized':
            $database->prepare("UPDATE entries SET state = 'final' WHERE id = ?")->execute([$original]);
            return "finalized $original";
        default:
            return "ignored $id {$webhook['type']}";
    }
}

/** The identity on the chain: block hash and log index, or `t` and transaction index of a transfer. */
function position(array $data): string
{
    return $data['block_hash'] . ':' . ($data['log_index'] ?? "t{$data['transaction_index']}");
}

function status(): int
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        return 405;
    }
    $body = file_get_contents('php://input');
    if (!isValid($body, getenv('WEBHOOK_SECRET') ?: '', time())) {
        return 401;
    }
    $webhook = parse($body);
    if ($webhook === null) {
        return 400;
    }
    if (!isset($_SERVER['HTTP_WEBHOOK_TEST'])) { // A sample of `hookfarm endpoints test` has no effect.
        process($_SERVER['HTTP_WEBHOOK_ID'], $webhook);
    }
    return 204;
}

http_response_code(500); // Kept if an exception ends the script: hookfarm sends the webhook again.
http_response_code(status());
