package mqapi

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// SignForTest signs all headers of a request, and its host. It shares the canonical form with what it tests; that this form is AWS's own, the vectors say.
func SignForTest(r *http.Request, body, keyID, secret, region string, at time.Time) {
	r.Header.Set("X-Amz-Date", at.Format(dateLayout))
	signed := []string{"host"}
	for name := range maps.Keys(r.Header) {
		if name != "Authorization" {
			signed = append(signed, strings.ToLower(name))
		}
	}
	slices.Sort(signed)
	a := &authorization{accessKeyID: keyID, date: at.Format("20060102"), region: region, service: signedFor, at: at, signedHeaders: signed}
	hash := sha256.Sum256([]byte(body))
	canonical, problem := canonicalRequest(r, signed, hex.EncodeToString(hash[:]))
	if problem != nil {
		return // a query that cannot be read: the request stays unsigned
	}
	r.Header.Set("Authorization", algorithm+" Credential="+keyID+"/"+a.scope()+", SignedHeaders="+strings.Join(signed, ";")+", Signature="+hex.EncodeToString(signature(secret, a, canonical)))
}
