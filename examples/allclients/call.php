<?php
// Prints a link that signs account 2425 in, once, and shows its settings.
$call = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/x-www-form-urlencoded',
    'content' => http_build_query([
        'apiusername' => getenv('ONCEGATE_USER'),
        'apipassword' => getenv('ONCEGATE_PASSWORD'),
        'accountid' => 2425,
        'response_type' => 'json',
    ]),
]]);
$url = getenv('ONCEGATE_API') . '/api/2/GetSignOnUrl.aspx';
$answer = json_decode(file_get_contents($url, false, $call));
isset($answer->error) and throw new Exception($answer->error);
echo $answer->signonurl, "&redirect=Settings.aspx\n";
