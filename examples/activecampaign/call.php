<?php
// Prints a link that signs joe in, once, from the address $VISITOR alone.
$query = http_build_query([
    'api_action' => 'singlesignon',
    'api_output' => 'serialize',
    'api_user' => getenv('ONCEGATE_USER'),
    'api_pass_h' => md5(getenv('ONCEGATE_PASSWORD')),
    'sso_addr' => getenv('VISITOR'),
    'sso_user' => 'joe',
]);
$answer = file_get_contents(getenv('ONCEGATE_API') . "/admin/api.php?$query");
$answer = unserialize($answer, ['allowed_classes' => false]);
$answer['result_code'] or throw new Exception($answer['result_message']);
echo getenv('SITE'), '/?_ssot=', $answer['token'], "\n";
