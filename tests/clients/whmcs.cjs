// npm whmcs, unchanged: node whmcs.cjs BASE NAME PASSWORD CLIENT
const { createRequire } = require('node:module')
const Whmcs = createRequire(process.env.NODE_MODULES + '/')('whmcs')

const [base, username, password, client_id] = process.argv.slice(2)
const client = new Whmcs({ username, password, serverUrl: `${base}/includes/api.php` })
const body = { action: 'CreateSsoToken', client_id, destination: 'clientarea:services' }
client.utils.modem({ client, body }, (error, answer) => {
  console.log(JSON.stringify(error ? { error: error.message } : answer))
})
