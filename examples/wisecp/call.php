<?php
// Prints a link that signs client 18 in, once, and shows their products.
$call = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => ['Content-Type: application/json', 'Apikey: ' . getenv('ONCEGATE_KEY')],
    'content' => json_encode(['user_id' => 18, 'destination' => 'ac-ps-products']),
]]);
$url = getenv('ONCEGATE_API') . '/api/Clients/CreateClientSsoToken';
$answer = json_decode(file_get_contents($url, false, $call));
$answer->status === 'successful' or throw new Exception($answer->message);
echo $answer->data->url, "\n";
