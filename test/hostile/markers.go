package main

import (
	"bytes"
	"encoding/base64"
	"regexp"
)

// Texts that no log, message or metric may show. A token holds marker in its claims or beside them, a secret's
// value valueMarker, and the secrets of nodePublishSecretRef publishMarker. None occurs anywhere else.
const (
	marker        = "Kq7TokenMarkerZx9"
	valueMarker   = "Kq7ValueMarkerZx9"
	publishMarker = "Kq7PublishMarkerZx9"
)

// forbidden are the markers as they stand, the marker of tokens as base64 shows it, which depends on where in
// the token it begins.
var forbidden = append(base64Forms(marker), []byte(marker), []byte(valueMarker), []byte(publishMarker))

// accessKey is the id of a session's access key. Chance makes none.
var accessKey = regexp.MustCompile(`ASIA[A-Z2-7]{16}`)

// base64Forms are the three texts of which each base64 of something that contains s contains one: the first and
// last characters also depend on what stands around, and are left out.
func base64Forms(s string) [][]byte {
	forms := make([][]byte, 3)
	for shift := range forms {
		text := base64.RawURLEncoding.EncodeToString([]byte(string(make([]byte, shift)) + s))
		begin := (shift*8 + 5) / 6
		forms[shift] = []byte(text[begin : len(text)-1])
	}
	return forms
}

// leak gives the first marker that text shows, masked for the report, or nothing.
func leak(text []byte) (where string, found bool) {
	for _, form := range forbidden {
		if i := bytes.Index(text, form); i >= 0 {
			return string(text[max(0, i-80):i]) + "<HERE>", true
		}
	}
	if bytes.Contains(text, []byte("ASIA")) && accessKey.Match(text) {
		return "an access key", true
	}
	return "", false
}
