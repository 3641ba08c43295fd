// Users by token: a JSON Web Token signed with HS256 says who they are, for how long, and which
// channels they may use.

package export_tidegate_plugin_auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/types"

	"wit_component/data"
	"wit_component/memory"
	. "wit_component/tidegate_plugin_auth"
	"wit_component/tidegate_plugin_config"
	"wit_component/tidegate_plugin_log"
)

// Signs tokens where the server's configuration has no `secret`. Anyone knows it.
const developmentSecret = "tidegate-development-secret"

var (
	errMalformed = errors.New("The token is malformed.")
	errAlgorithm = errors.New("The token's algorithm must be HS256.")
	errMismatch  = errors.New("The token's signature does not match.")
	errNobody    = errors.New("The token has no 'sub'.")
	errMissing   = errors.New("A token is required.")
	errSecret    = errors.New("The server cannot check tokens.")

	warned    bool
	base64url = base64.RawURLEncoding.Strict()
)

func Authenticate(request Handshake) wit.Result[Identity, Refusal] {
	memory.Collect()
	who, err := identify(request.Token)
	if err != nil {
		return wit.Err[Identity](Refusal{Reason: err.Error()})
	}
	return wit.Ok[Identity, Refusal](who)
}

// Authorize: without any pattern all channels are allowed, but for those of other users.
func Authorize(who Identity, _ Action, channel string, captures Captures) Permission {
	memory.Collect()
	mine, limited, covered := true, false, false
	for _, capture := range captures {
		if capture.F0 == "user" {
			mine = capture.F1 == who.User
		}
	}
	for _, claim := range who.Claims {
		if claim.F0 == "channel" {
			limited = true
			covered = covered || covers(claim.F1, channel)
		}
	}
	if mine && (covered || !limited) {
		return MakePermissionGranted()
	}
	return MakePermissionRefused("")
}

// covers: `*` at the end of a pattern stands for the rest of the name.
func covers(pattern, channel string) bool {
	if start, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(channel, start)
	}
	return channel == pattern
}

func identify(token wit.Option[string]) (who Identity, err error) {
	who.ExpiresAtMs = wit.None[uint64]()
	if token.IsNone() {
		if tidegate_plugin_config.Get("anonymous").SomeOr("") == "false" {
			err = errMissing
		}
		return who, err
	}
	key, err := secret()
	if err != nil {
		return who, err
	}
	claims, err := verify(token.Some(), key)
	if err != nil {
		return who, err
	}
	who.User = claims.Sub
	if claims.Exp != nil {
		// A plugin has no clock: the server ends the identity then, at once if it is past.
		ms := math.Max(*claims.Exp*1000, 0)
		end := uint64(math.MaxUint64)
		if ms < math.MaxUint64 {
			end = uint64(ms)
		}
		who.ExpiresAtMs = wit.Some(end)
	}
	if claims.Channels != nil {
		patterns := *claims.Channels
		if len(patterns) == 0 {
			// An empty list allows nothing, and so does a pattern that no channel's name matches.
			patterns = []string{""}
		}
		for _, pattern := range patterns {
			who.Claims = append(who.Claims, wit.Tuple2[string, string]{F0: "channel", F1: pattern})
		}
	}
	return who, nil
}

func secret() ([]byte, error) {
	configured := tidegate_plugin_config.Get("secret")
	if configured.IsSome() && configured.Some() == "" {
		tidegate_plugin_log.Write(tidegate_plugin_log.Level_Error, "The setting `secret` is empty: no token is accepted.")
		return nil, errSecret
	}
	if configured.IsNone() && !warned {
		warned = true
		tidegate_plugin_log.Write(tidegate_plugin_log.Level_Warn,
			"The setting `secret` is missing: tokens are checked with the development secret, which anyone knows.")
	}
	return []byte(configured.SomeOr(developmentSecret)), nil
}

// claims are those of RFC 7519, as much as is needed here.
type claims struct {
	Sub string `json:"sub"`
	// Unix time in seconds.
	Exp *float64 `json:"exp"`
	// Patterns; nil where the token does not limit its user.
	Channels *[]string `json:"channels"`
}

func verify(token string, key []byte) (found claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return found, errMalformed
	}
	var header struct {
		Alg *string `json:"alg"`
	}
	if !object(parts[0], &header) || header.Alg == nil {
		return found, errMalformed
	}
	if *header.Alg != "HS256" {
		return found, errAlgorithm
	}
	signature, err := base64url.DecodeString(parts[2])
	if err != nil || strings.ContainsAny(token, "\r\n") {
		return found, errMalformed
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	// In constant time.
	if !hmac.Equal(mac.Sum(nil), signature) {
		return found, errMismatch
	}
	if !object(parts[1], &found) {
		return found, errMalformed
	}
	if found.Sub == "" {
		return found, errNobody
	}
	return found, nil
}

func object(part string, into any) bool {
	text, err := base64url.DecodeString(part)
	return err == nil && data.Read(text, into)
}
