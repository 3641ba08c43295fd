<?php
// The SDK for PHP, unmodified. Ends with an error at the first thing that is not as it says.

require getenv('PUSHER_AUTOLOAD');

$server = parse_url(getenv('PUSHER_SERVER'));
[$key, $secret] = explode(':', getenv('PUSHER_APP'));
$options = ['host' => $server['host'], 'port' => $server['port'], 'scheme' => 'http', 'useTLS' => false];
$sdk = new Pusher\Pusher($key, $secret, '1', $options);

function same($got, $expected) {
    if (json_encode($got) !== json_encode($expected)) {
        throw new Exception(json_encode($got) . ' is not ' . json_encode($expected));
    }
}

function refused(int $status, callable $call) {
    try {
        $call();
    } catch (Pusher\ApiErrorException $error) {
        same($error->getCode(), $status);
        return;
    }
    throw new Exception("$status was expected");
}

// What the test beside this file listens for.
same($sdk->trigger('room', 'App\\Events\\Said', ['list' => [1, 'ü']]), new stdClass());
same($sdk->trigger(['room', 'other'], 'e', 'just text', ['socket_id' => '1.2']), new stdClass());
$batch = array_map(fn ($n) => ['channel' => 'room', 'name' => 'b', 'data' => ['n' => $n]], range(0, 2));
same($sdk->triggerBatch($batch), new stdClass());

same($sdk->getChannelInfo('presence-room', ['info' => 'user_count'])->user_count, 2);
same($sdk->getChannelInfo('nobody')->occupied, false);
same($sdk->getChannels(['filter_by_prefix' => 'presence-', 'info' => 'user_count'])->channels, [
    'presence-room' => ['user_count' => 2],
]);
same(array_map(fn ($user) => $user->id, $sdk->getPresenceUsers('presence-room')->users), ['ada', 'bob']);
$sdk->terminateUserConnections('ada');

$wrong = new Pusher\Pusher($key, 'wrong', '1', $options);
refused(401, fn () => $wrong->trigger('room', 'e', 1));
refused(413, fn () => $sdk->trigger('room', 'e', str_repeat('x', 10241)));
refused(400, fn () => $sdk->getPresenceUsers('room'));

echo "all of it works\n";
