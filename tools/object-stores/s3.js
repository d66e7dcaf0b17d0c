// S3 over TLS: node s3.js MODULES FOLDER PORT CERTIFICATE KEY BUCKET
const fs = require('fs');
const [modules, directory, port, cert, key, bucket] = process.argv.slice(2);
const S3rver = require(modules + '/s3rver');

new S3rver({
  address: '127.0.0.1',
  port: Number(port),
  directory,
  silent: true,
  vhostBuckets: false,
  cert: fs.readFileSync(cert),
  key: fs.readFileSync(key),
  configureBuckets: [{ name: bucket }],
}).run((error) => {
  if (error) throw error;
});
