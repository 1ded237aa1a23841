<?php
// main.php SUITE: full, short or refused, against the broker that the environment names, by PHP's extension "stomp", which speaks STOMP 1.0 and nothing later.
// One line a scenario: "ok NAME" or "FAIL NAME reason", at the end "done".
declare(strict_types=1);

const SOON = 10; // seconds
const UNICODE = "gr\u{fc}\u{df}e \u{2603} \u{1f0a1} \u{65e5}\u{672c}\u{8a9e}";

// --- connections ----------------------------------------------------------------------------------------------------

function connect(array $headers = [], ?array $credentials = null): Stomp
{
    [$user, $password] = $credentials ?? [getenv('INTEROP_USER') ?: '', getenv('INTEROP_PASSWORD') ?: ''];
    $stomp = new Stomp('tcp://' . getenv('INTEROP_STOMP'), $user, $password, $headers);
    $stomp->setReadTimeout(SOON);
    return $stomp;
}

function destination(string $name, string $kind = 'queue'): string
{
    return "/$kind/" . getenv('INTEROP_RUN') . ".$name";
}

// The extension asks for a receipt and waits for it when a header says so.
function tell(bool $done, string $what): void
{
    if (!$done) {
        throw new Exception("$what was not confirmed");
    }
}

function put(Stomp $stomp, string $to, string $body, array $headers = []): void
{
    static $number = 0;
    tell($stomp->send($to, $body, ['persistent' => 'true', 'receipt' => 'p' . ++$number] + $headers), "a message to $to");
}

function subscribe(Stomp $stomp, string $to, array $headers = []): void
{
    tell($stomp->subscribe($to, ['receipt' => 'subscribed', 'ack' => 'client'] + $headers), "a subscription to $to");
}

function receive(Stomp $stomp): StompFrame
{
    $frame = $stomp->readFrame();
    if (!$frame || $frame->command !== 'MESSAGE') {
        throw new Exception('got ' . ($frame ? "$frame->command {$frame->body}" : 'nothing') . ', want a MESSAGE: ' . $stomp->error());
    }
    return $frame;
}

/** @return string[] bodies, each acknowledged */
function texts(Stomp $stomp, int $count): array
{
    $texts = [];
    for ($i = 0; $i < $count; $i++) {
        $frame = receive($stomp);
        $texts[] = $frame->body;
        tell($stomp->ack($frame), 'an ACK');
    }
    return $texts;
}

/** @return string[] what a queue holds, up to a message that is sent now; it is taken */
function left(string $name): array
{
    $stomp = connect();
    subscribe($stomp, destination($name));
    put($stomp, destination($name), 'end');
    $found = [];
    while (($body = texts($stomp, 1)[0]) !== 'end') {
        $found[] = $body;
    }
    return $found;
}

function equal(string $what, mixed $got, mixed $want): void
{
    if ($got !== $want) {
        throw new Exception("$what: got " . substr(json_encode($got), 0, 200) . ', want ' . substr(json_encode($want), 0, 200));
    }
}

function pattern(): string
{
    return implode('', array_map('chr', range(0, 255)));
}

// --- scenarios ------------------------------------------------------------------------------------------------------

function text(): void
{
    $stomp = connect();
    $to = destination('php.text');
    subscribe($stomp, $to);
    foreach (['hello', UNICODE, str_repeat('x', 100_000)] as $body) {
        put($stomp, $to, $body);
        equal('body', texts($stomp, 1), [$body]);
    }
}

function bytes(): void
{
    $stomp = connect();
    $to = destination('php.bytes');
    subscribe($stomp, $to);
    foreach (["\0", pattern()] as $body) {
        put($stomp, $to, $body, ['content-length' => (string) strlen($body)]);
        $frame = receive($stomp);
        equal('body', bin2hex($frame->body), bin2hex($body));
        equal('content-length', $frame->headers['content-length'], (string) strlen($body));
        tell($stomp->ack($frame), 'an ACK');
    }
}

function properties(): void
{
    $stomp = connect();
    $to = destination('php.properties');
    subscribe($stomp, $to);
    $sent = ['plain' => 'value', 'number' => '42', 'color' => "bl\u{fc}", 'correlation-id' => 'c1', 'type' => 't', 'priority' => '7'];
    put($stomp, $to, 'body', $sent);
    $frame = receive($stomp);
    foreach ($sent as $name => $value) {
        equal($name, $frame->headers[$name], $value);
    }
    tell($stomp->ack($frame), 'an ACK');
}

function transactions(): void
{
    $stomp = connect();
    $to = destination('php.transactions');
    tell($stomp->begin('a', ['receipt' => 'begun']), 'BEGIN');
    put($stomp, $to, 'aborted', ['transaction' => 'a']);
    tell($stomp->abort('a', ['receipt' => 'aborted']), 'ABORT');
    $stomp->begin('c');
    put($stomp, $to, 'committed', ['transaction' => 'c']);
    tell($stomp->commit('c', ['receipt' => 'committed']), 'COMMIT');
    equal('left', left('php.transactions'), ['committed']);
}

function client_acknowledge(): void
{
    $stomp = connect();
    $to = destination('php.client');
    for ($i = 0; $i < 5; $i++) {
        put($stomp, $to, (string) $i);
    }
    subscribe($stomp, $to);
    $frames = [];
    for ($i = 0; $i < 5; $i++) {
        $frames[] = receive($stomp);
    }
    tell($stomp->ack($frames[2], ['receipt' => 'acknowledged']), 'an ACK'); // this one and all before it
    unset($stomp); // its destructor disconnects
    equal('left', left('php.client'), ['3', '4']);
}

function request_reply(): void
{
    [$asker, $server] = [connect(), connect()];
    $to = destination('php.requests');
    subscribe($server, $to);
    subscribe($asker, '/temp-queue/replies');
    put($asker, $to, 'ask', ['reply-to' => '/temp-queue/replies']);
    $request = receive($server);
    put($server, $request->headers['reply-to'], "answer to $request->body");
    equal('answer', texts($asker, 1), ['answer to ask']);
    $server->ack($request);
}

function large(): void
{
    $stomp = connect();
    $to = destination('php.large');
    $body = str_repeat(pattern(), 5 << 12);
    put($stomp, $to, $body, ['content-length' => (string) strlen($body)]);
    subscribe($stomp, $to);
    equal('the body is the same', texts($stomp, 1)[0] === $body, true);
}

function selectors(): void
{
    $stomp = connect();
    $to = destination('php.selectors');
    for ($i = 0; $i < 5; $i++) {
        put($stomp, $to, (string) $i, ['n' => (string) $i]);
    }
    subscribe($stomp, $to, ['selector' => 'n BETWEEN 2 AND 3']);
    equal('selected', texts($stomp, 2), ['2', '3']);
    unset($stomp);
    equal('left', left('php.selectors'), ['0', '1', '4']);
}

function durable(): void
{
    $to = destination('php.durable', 'topic');
    $who = ['client-id' => getenv('INTEROP_RUN') . '.php.durable'];
    $subscription = ['activemq.subscriptionName' => 'sub', 'id' => 's'];
    $away = connect($who);
    subscribe($away, $to, $subscription);
    unset($away);
    $sender = connect();
    for ($i = 0; $i < 3; $i++) {
        put($sender, $to, (string) $i);
    }
    $back = again($who);
    subscribe($back, $to, $subscription);
    equal('backlog', texts($back, 3), ['0', '1', '2']);
}

// DISCONNECT has no receipt here, so the client id may be in use for a moment more.
function again(array $headers): Stomp
{
    for ($until = microtime(true) + SOON;; usleep(20_000)) {
        try {
            return connect($headers);
        } catch (StompException $e) {
            if (microtime(true) > $until) {
                throw $e;
            }
        }
    }
}

function wrong_credentials(): void
{
    foreach ([[getenv('INTEROP_USER'), 'wrong'], ['nobody', getenv('INTEROP_PASSWORD')], ['', '']] as $credentials) {
        try {
            connect([], $credentials);
        } catch (StompException $e) {
            continue;
        }
        throw new Exception('let in: ' . json_encode($credentials));
    }
    text(); // the right ones still get in
}

// --- suites ---------------------------------------------------------------------------------------------------------

const SHORT = ['text', 'bytes', 'properties', 'transactions', 'client_acknowledge', 'request_reply', 'large'];
const SUITES = ['short' => SHORT, 'full' => [...SHORT, 'selectors', 'durable'], 'refused' => ['wrong_credentials']];

foreach (SUITES[$argv[1]] as $scenario) {
    $name = strtr($scenario, '_', '-');
    if (!in_array(getenv('INTEROP_ONLY'), [false, $name], true)) {
        continue;
    }
    $start = hrtime(true);
    try {
        $scenario();
        echo "ok $name ", intdiv(hrtime(true) - $start, 1_000_000), "ms\n";
    } catch (Throwable $e) {
        fwrite(STDERR, "$e\n");
        echo "FAIL $name ", strtr($e->getMessage(), "\n", ' '), "\n";
    }
}
echo "done\n";
