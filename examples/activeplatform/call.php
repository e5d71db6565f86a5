<?php
// Prints a link that signs the owner of account 505 in, once.
$call = stream_context_create(['http' => [
    'header' => ['X-Api-Token: ' . getenv('ONCEGATE_KEY'), 'Accept: application/vnd.api+json'],
    'ignore_errors' => true,
]]);
$path = '/api/v3/resellers/1/user_authentication/token?account_id=505';
$answer = json_decode(file_get_contents(getenv('ONCEGATE_API') . $path, false, $call));
isset($answer->errors) and throw new Exception($answer->errors[0]->detail);
echo getenv('SITE'), '/?', http_build_query([
    'user_email' => $answer->owner_email,
    'user_token' => $answer->owner_token,
]), "\n";
