// npm activecampaign, unchanged: node activecampaign.cjs BASE KEY USER [NAME PASSWORD]
const { createRequire } = require('node:module')
const ActiveCampaign = createRequire(process.env.NODE_MODULES + '/')('activecampaign')

const [base, key, user, name, password] = process.argv.slice(2)
const client = name ? new ActiveCampaign(base, null, name, password) : new ActiveCampaign(base, key)
const call = `auth/singlesignon?sso_addr=127.0.0.1&sso_user=${encodeURIComponent(user)}`
client
  .credentials_test()
  .then((tested) => client.api(call, {}).then((answer) => ({ tested: tested.success, ...answer })))
  .then((answer) => console.log(JSON.stringify(answer)))
  .catch((thrown) => {
    console.error(thrown)
    process.exit(1)
  })
