// Prints a link that signs joe in, once, from the address $VISITOR alone.
const { ONCEGATE_API, ONCEGATE_USER, ONCEGATE_PASSWORD, SITE, VISITOR } = process.env;
const response = await fetch(`${ONCEGATE_API}/admin/api.php`, {
  method: "POST",
  body: new URLSearchParams({
    api_action: "singlesignon",
    api_output: "json",
    api_user: ONCEGATE_USER,
    api_pass: ONCEGATE_PASSWORD,
    sso_addr: VISITOR,
    sso_user: "joe",
  }),
});
const answer = await response.json();
if (!answer.result_code) throw new Error(answer.result_message);
console.log(`${SITE}/?_ssot=${answer.token}`);
