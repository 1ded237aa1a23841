package mqapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// DefaultPage is how many entries a page has if the caller does not say.
const DefaultPage = 20

// Page cuts a page out of entries that are sorted by id: those after the id that the last page ended with. next is the id to go on after,
// or nil at the end. What was added or removed meanwhile skips nothing else and repeats nothing.
//
// A Service gets and gives ids as NextToken; the handler makes opaque tokens of them, which hold only for the same caller and the same question.
func Page[T any](entries []T, id func(T) string, after *string, maxResults *int32) (page []T, next *string) {
	first, size := 0, DefaultPage
	if after != nil {
		first, _ = slices.BinarySearchFunc(entries, *after, func(entry T, after string) int { return strings.Compare(id(entry), after+"\x00") })
	}
	if maxResults != nil {
		size = int(*maxResults)
	}
	last := min(first+size, len(entries))
	if last < len(entries) && last > first {
		next = new(id(entries[last-1]))
	}
	return append([]T{}, entries[first:last]...), next
}

// pages makes tokens of positions and back.
type pages struct{ aead cipher.AEAD }

func newPages(key []byte) (*pages, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("page key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("page key: %w", err)
	}
	return &pages{aead}, nil
}

// question is what a token is bound to: who asks what. How many entries a page has may change on the way.
func question(c Caller, path string, query url.Values) []byte {
	bound := url.Values{}
	for key, values := range query {
		if key != "nextToken" && key != "maxResults" {
			bound[key] = values
		}
	}
	return []byte(strings.Join([]string{c.Account, c.Region, path, bound.Encode()}, "\n"))
}

func (p *pages) seal(position string, question []byte) string {
	return base64.RawURLEncoding.EncodeToString(p.aead.Seal(nil, nil, []byte(position), question))
}

func (p *pages) open(token string, question []byte) (string, *Error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		var position []byte
		if position, err = p.aead.Open(nil, nil, sealed, question); err == nil {
			return string(position), nil
		}
	}
	return "", Errorf(BadRequest, "nextToken", "nextToken is not one that was given for this question to this account in this region; start again without it")
}

// nextToken is that member of a request or an answer, or nil if it has none.
func nextToken(of any) **string {
	v := reflect.ValueOf(of)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil
	}
	if f := v.Elem().FieldByName("NextToken"); f.IsValid() {
		return f.Addr().Interface().(**string)
	}
	return nil
}

// Fingerprint tells whether two requests with the same creatorRequestId ask for the same: their fingerprints, made with the same secret, are equal then. It is
// keyed, because passwords are part of it, and whoever can read where it is kept must not be able to try passwords against it.
func (r *CreateBrokerRequest) Fingerprint(secret []byte) [sha256.Size]byte {
	asked := *r
	asked.CreatorRequestID = nil
	h := hmac.New(sha256.New, secret)
	// Maps are written in the order of their keys. The structure has nothing that cannot be written.
	if err := json.NewEncoder(h).Encode(asked); err != nil {
		panic(fmt.Sprintf("fingerprint of a request: %v", err))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
