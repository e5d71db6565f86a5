"""Prints a link that signs joe in, once, from the address $VISITOR alone."""
import json
import os
import sys
from urllib.parse import urlencode
from urllib.request import urlopen

call = {
    "api_action": "singlesignon",
    "api_output": "json",
    "api_user": os.environ["ONCEGATE_USER"],
    "api_pass": os.environ["ONCEGATE_PASSWORD"],
    "sso_addr": os.environ["VISITOR"],
    "sso_user": "joe",
}
url = os.environ["ONCEGATE_API"] + "/admin/api.php"
answer = json.load(urlopen(url, urlencode(call).encode()))
if not answer["result_code"]:
    sys.exit(answer["result_message"])
print(os.environ["SITE"] + "/?_ssot=" + answer["token"])
