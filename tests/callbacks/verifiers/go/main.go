// Reads {secret, headers, body} as JSON; ends with 0 where the library verifies it, with 1 and its reason where not.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	var sent struct {
		Secret  string            `json:"secret"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&sent); err != nil {
		fail(err)
	}
	headers := http.Header{}
	for name, value := range sent.Headers {
		headers.Set(name, value)
	}
	webhook, err := standardwebhooks.NewWebhook(sent.Secret)
	if err != nil {
		fail(err)
	}
	if err := webhook.Verify([]byte(sent.Body), headers); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
