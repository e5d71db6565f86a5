<?php
// Prints a link that signs client 18 in, once.
$call = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/x-www-form-urlencoded',
    'content' => http_build_query([
        'action' => 'CreateSsoToken',
        'identifier' => getenv('ONCEGATE_USER'),
        'secret' => getenv('ONCEGATE_KEY'),
        'client_id' => 18,
        'responsetype' => 'json',
    ]),
    'ignore_errors' => true,
]]);
$url = getenv('ONCEGATE_API') . '/includes/api.php';
$answer = json_decode(file_get_contents($url, false, $call));
$answer->result === 'success' or throw new Exception($answer->message);
echo $answer->redirect_url, "\n";
