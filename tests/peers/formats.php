<?php
// What PHP reads in answers, as an independent second opinion.
//
// usage: php formats.php
//
// Reads lines of standard input, each the name of a format (serialize, xml or json), a space and
// an answer's body in base64. For each it prints one line of JSON: what each of PHP's readers of
// this format makes of it, as a list of [name, value] in order; null where one refuses.
//
// It exits 70 on a fault of its own, a warning included, so that a test never takes one for a
// refusal.

declare(strict_types=1);

set_error_handler(function (int $level, string $what): bool {
    // What `@` has silenced is how unserialize refuses.
    if ((error_reporting() & $level) === 0) {
        return true;
    }
    fwrite(STDERR, "$what\n");
    exit(70);
});
libxml_use_internal_errors(true);

function members(mixed $array): ?array
{
    if (!is_array($array)) {
        return null;
    }
    return array_map(null, array_map('strval', array_keys($array)), array_values($array));
}

function by_unserialize(string $body): ?array
{
    $read = @unserialize($body, ['allowed_classes' => false]);
    // What stands behind the array would be passed over.
    return is_array($read) && serialize($read) === $body ? members($read) : null;
}

function by_simplexml(string $body): ?array
{
    $root = simplexml_load_string($body);
    if ($root === false || count($root->attributes()) > 0) {
        return null;
    }
    $read = [];
    foreach ($root->children() as $name => $child) {
        $read[] = [$name, (string) $child];
    }
    return $read;
}

function by_dom(string $body): ?array
{
    $document = new DOMDocument();
    if (!$document->loadXML($body) || $document->documentElement->hasAttributes()) {
        return null;
    }
    $read = [];
    foreach ($document->documentElement->childNodes as $child) {
        $flat = $child instanceof DOMElement && !$child->hasAttributes()
            && ($child->childNodes->length === 0
                || $child->childNodes->length === 1 && get_class($child->firstChild) === 'DOMText');
        if (!$flat) {
            return null;
        }
        $read[] = [$child->nodeName, $child->textContent];
    }
    return $read;
}

while (($line = fgets(STDIN)) !== false) {
    [$format, $encoded] = explode(' ', rtrim($line, "\n"));
    $body = base64_decode($encoded, true);
    $read = match ($format) {
        'serialize' => ['unserialize' => by_unserialize($body)],
        'xml' => ['simplexml' => by_simplexml($body), 'dom' => by_dom($body)],
        'json' => ['json_decode' => members(json_decode($body, true, 2))],
    };
    libxml_clear_errors();
    echo json_encode($read, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE), "\n";
}
