<?php
// As the vendor's own class calls it and reads the answer: php allclients.php BASE NAME PASSWORD ACCOUNT

[, $base, $name, $password, $account] = $argv;
$form = http_build_query([
    'accountid' => $account,
    'apikey' => '',
    'apiusername' => $name,
    'apipassword' => $password,
    'teammemberid' => '0',
]);
$post = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/x-www-form-urlencoded',
    'content' => $form,
]]);
$text = file_get_contents("$base/api/2/GetSignOnUrl.aspx", false, $post);
$document = new DOMDocument();
$document->loadXML($text);
$results = $document->documentElement;
$simple = simplexml_load_string($text);
// An error is what has exactly one child node: white space would make it three.
echo json_encode([
    'children' => $results->childNodes->length,
    'error' => $results->childNodes->length === 1 ? (string) $simple->error : null,
    'accountid' => (string) $simple->accountid,
    'signonurl' => (string) $simple->signonurl,
]);
