package main

import (
	"fmt"
	"sync"
)

type entry struct {
	webhook Webhook
	state   string
}

// Ledger applies each webhook once.
//
// It is in memory. In production its maps are tables: the id (primary key) and the effect of a webhook belong
// into one transaction, which is committed before the answer. Only then does a restart lose nothing.
type Ledger struct {
	mu        sync.Mutex
	processed map[string]struct{}
	entries   map[string]*entry
}

func NewLedger() *Ledger {
	return &Ledger{processed: map[string]struct{}{}, entries: map[string]*entry{}}
}

// Apply is your business logic. It does nothing if the id was processed before.
func (l *Ledger) Apply(id string, webhook Webhook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, repeated := l.processed[id]; repeated {
		return
	}
	l.processed[id] = struct{}{}
	switch webhook.Type {
	case "log.emitted", "transfer.emitted":
		l.entries[id] = &entry{webhook, "applied"}
		fmt.Println("applied", id, webhook.Position())
	case "log.removed", "transfer.removed": // A reorg removed the log: undo the effect of the original.
		l.setState(webhook.Original, "reversed")
	case "log.finalized", "transfer.finalized": // No reorg can remove the log any more.
		l.setState(webhook.Original, "finalized")
	default:
		fmt.Println("ignored", id, webhook.Type)
	}
}

func (l *Ledger) setState(original, state string) {
	if entry, found := l.entries[original]; found {
		entry.state = state
	}
	fmt.Println(state, original)
}
