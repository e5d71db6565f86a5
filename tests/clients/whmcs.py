"""PyPI whmcspy, unchanged: python whmcs.py BASE IDENTIFIER SECRET CLIENT"""

import json
import sys

from whmcspy import WHMCS, exceptions

base, identifier, secret, client = sys.argv[1:]
whmcs = WHMCS(f"{base}/includes/api.php", identifier, secret)
try:
    print(json.dumps(whmcs.call("CreateSsoToken", client_id=client)))
except exceptions.Error as error:
    print(json.dumps({"error": str(error), "kind": type(error).__name__}))
