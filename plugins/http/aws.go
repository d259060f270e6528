package http

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// awsProof signs with AWS Signature Version 4.
func (x *exchange) awsProof() proof {
	a := x.config.Auth
	credentials := aws.Credentials{AccessKeyID: a.AccessKey, SecretAccessKey: a.SecretKey, SessionToken: a.SessionToken}
	return fixed(func(hr *http.Request) error {
		var payload []byte
		if hr.GetBody != nil {
			payload = x.body.data
		}
		sum := sha256.Sum256(payload)
		hash := hex.EncodeToString(sum[:])
		signer := v4.NewSigner(func(o *v4.SignerOptions) {
			o.DisableURIPathEscaping = a.Service == "s3" // S3 alone signs paths as they stand
		})
		if a.Service == "s3" {
			hr.Header["X-Amz-Content-Sha256"] = []string{hash}
		}
		if hr.Host == "" { // the signer reads the URL's otherwise, with a port that is not sent
			hr.Host = hr.URL.Host
		}
		err := signer.SignHTTP(context.Background(), credentials, hr, hash, a.Service, a.Region, x.plugin.now())
		if err != nil {
			return authError("the request could not be signed: %s", err)
		}
		return nil
	})
}
