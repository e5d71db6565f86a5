// Prints a link that signs the owner of account 505 in, once.
const { ONCEGATE_API, ONCEGATE_KEY, SITE } = process.env;
const path = "/api/v3/resellers/1/user_authentication/token?account_id=505";
const response = await fetch(ONCEGATE_API + path, {
  headers: { "X-Api-Token": ONCEGATE_KEY, Accept: "application/vnd.api+json" },
});
const answer = await response.json();
if (answer.errors) throw new Error(answer.errors[0].detail);
const { owner_email: user_email, owner_token: user_token } = answer;
console.log(`${SITE}/?${new URLSearchParams({ user_email, user_token })}`);
