import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { createSecureContext } from "node:tls";
import { selfSigned } from "../src/testmesh/certificate.js";

test("the certificate is one of its own key, for localhost", () => {
  const { der, pem, key } = selfSigned();
  const certificate = new X509Certificate(der);
  assert.equal(certificate.toString().replace(/\s/g, ""), pem.replace(/\s/g, ""));
  assert.equal(certificate.checkHost("localhost"), "localhost");
  assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
  assert.ok(certificate.verify(certificate.publicKey));
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
  assert.ok(Date.parse(certificate.validTo) > Date.now());
  createSecureContext({ key, cert: pem });
});

test("each process has a key of its own", () => assert.notEqual(selfSigned().pem, selfSigned().pem));
