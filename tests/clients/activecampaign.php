<?php
// As the vendor's own sample calls it, in each of its formats: php activecampaign.php BASE NAME PASSWORD USER

[, $base, $name, $password, $user] = $argv;
$answers = [];
foreach (['serialize', 'json', 'xml'] as $output) {
    $query = http_build_query([
        'api_user' => $name,
        'api_pass_h' => md5($password),
        'api_action' => 'singlesignon',
        'api_output' => $output,
        'sso_addr' => '127.0.0.1',
        'sso_user' => $user,
    ]);
    $text = file_get_contents("$base/admin/api.php?$query");
    if ($output === 'serialize') {
        $answers['serialize'] = unserialize($text, ['allowed_classes' => false]);
    } elseif ($output === 'json') {
        $answers['json'] = json_decode($text, true);
    } else {
        $answers['simplexml'] = (array) simplexml_load_string($text);
        $document = new DOMDocument();
        $document->loadXML($text);
        foreach ($document->documentElement->childNodes as $node) {
            $answers['dom'][$node->nodeName] = $node->textContent;
        }
        // One wrapper cuts the token out by its tags.
        $answers['cut'] = explode('</token>', explode('<token>', $text)[1] ?? '')[0];
    }
}
echo json_encode($answers);
