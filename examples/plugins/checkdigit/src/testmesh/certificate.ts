// The certificate that a plugin answers its host's with, so that both ends know
// each other: an EC key of this process alone, signed by itself, for
// "localhost". Node can read certificates but not make them; this is the least
// of X.509 (RFC 5280) in DER.
import { generateKeyPairSync, sign } from "node:crypto";

export interface Certificate {
  /** The private key in PEM. */
  key: string;
  /** The certificate in DER. */
  der: Buffer;
  /** The certificate in PEM. */
  pem: string;
}

/** Makes a new key and a certificate for it. */
export function selfSigned(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = seq(set(seq(oid(2, 5, 4, 3), tlv(0x0c, Buffer.from("localhost")))));
  const ecdsaWithSHA256 = seq(oid(1, 2, 840, 10045, 4, 3, 2));
  const toBeSigned = seq(
    tlv(0xa0, integer(2)), // version 3
    integer(1),
    ecdsaWithSHA256,
    name, // who signed
    seq(tlv(0x17, Buffer.from("200101000000Z")), tlv(0x18, Buffer.from("99991231235959Z"))),
    name, // for whom
    publicKey.export({ type: "spki", format: "der" }),
    tlv(
      0xa3,
      seq(
        extension(oid(2, 5, 29, 17), seq(tlv(0x82, Buffer.from("localhost")))), // names
        extension(oid(2, 5, 29, 37), seq(oid(1, 3, 6, 1, 5, 5, 7, 3, 1))), // a server's
      ),
    ),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  const der = seq(toBeSigned, ecdsaWithSHA256, tlv(0x03, Buffer.concat([Buffer.of(0), signature])));
  const lines = der.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    der,
    pem: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}

function tlv(tag: number, value: Buffer): Buffer {
  const n = value.length;
  const length = n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), value]);
}

function seq(...values: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(values));
}

function set(value: Buffer): Buffer {
  return tlv(0x31, value);
}

function integer(value: number): Buffer {
  return tlv(0x02, Buffer.of(value));
}

function oid(first: number, second: number, ...rest: number[]): Buffer {
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function extension(name: Buffer, value: Buffer): Buffer {
  return seq(name, tlv(0x04, value));
}
