"""PyPI activecampaign, unchanged: python activecampaign.py BASE KEY USER"""

import json
import sys

# This file bears the package's name, and must not be taken for it.
sys.path.pop(0)
from activecampaign.client import ActiveCampaignClient  # noqa: E402

base, key, user = sys.argv[1:]
client = ActiveCampaignClient(base, key)
data = [("sso_addr", "127.0.0.1"), ("sso_user", user)]
answers = [client.request(method, "singlesignon", data) for method in ("GET", "POST")]
print(json.dumps([answer.json() for answer in answers]))
