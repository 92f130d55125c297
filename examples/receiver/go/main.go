// Webhook receiver: verify, deduplicate, apply, then answer. Standard library only.
//
//	WEBHOOK_SECRET=whsec_… go run .
package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	tolerance    = 5 * time.Minute
	maxBodyBytes = 8 << 20
)

// Webhook is the part of the body that this receiver uses.
type Webhook struct {
	Type     string `json:"type"`
	Original string `json:"original"`
	Data     *struct {
		BlockHash        string `json:"block_hash"`
		TransactionIndex int    `json:"transaction_index"`
		LogIndex         *int   `json:"log_index"` // Transfers have none.
	} `json:"data"`
}

// Position is the identity on the chain: block hash and log index, or t and transaction index of a transfer.
func (w Webhook) Position() string {
	if w.Data.LogIndex == nil {
		return fmt.Sprintf("%s:t%d", w.Data.BlockHash, w.Data.TransactionIndex)
	}
	return fmt.Sprintf("%s:%d", w.Data.BlockHash, *w.Data.LogIndex)
}

// Receiver is an http.Handler for the webhooks of one endpoint.
type Receiver struct {
	key    []byte
	ledger *Ledger
}

func (r Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		return
	}
	if !r.valid(request.Header, body, time.Now()) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var webhook Webhook
	if json.Unmarshal(body, &webhook) != nil || webhook.Type == "" || webhook.Data == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if request.Header.Get("webhook-test") == "" { // A sample of `hookfarm endpoints test` has no effect.
		r.ledger.Apply(request.Header.Get("webhook-id"), webhook)
	}
	w.WriteHeader(http.StatusNoContent)
}

// valid implements Standard Webhooks 1.0: one valid v1 signature among those in the header is enough.
func (r Receiver) valid(header http.Header, body []byte, now time.Time) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	expected := mac.Sum(nil)
	for _, signature := range strings.Fields(header.Get("webhook-signature")) {
		encoded, isV1 := strings.CutPrefix(signature, "v1,")
		offered, err := base64.StdEncoding.DecodeString(encoded)
		if isV1 && err == nil && hmac.Equal(offered, expected) {
			return true
		}
	}
	return false
}

func main() {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	if err != nil || len(key) == 0 {
		log.Fatal("WEBHOOK_SECRET: must be whsec_ and base64")
	}
	mux := http.NewServeMux()
	mux.Handle("POST /", Receiver{key, NewLedger()})
	server := http.Server{Handler: mux, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	address := net.JoinHostPort(cmp.Or(os.Getenv("HOST"), "127.0.0.1"), cmp.Or(os.Getenv("PORT"), "9000"))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}
