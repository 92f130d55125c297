import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Applies each webhook once.
 *
 * <p>It is in memory. In production its collections are tables: the id (primary key) and the effect of a webhook
 * belong into one transaction, which is committed before the answer. Only then does a restart lose nothing.
 */
final class Ledger {
    private final Set<String> processed = new HashSet<>();
    private final Map<String, String> states = new HashMap<>();

    /** Your business logic. Does nothing if the id was processed before. */
    synchronized void apply(String id, Receiver.Webhook webhook) {
        if (!processed.add(id)) {
            return;
        }
        switch (webhook.type()) {
            case "log.emitted", "transfer.emitted" -> {
                states.put(id, "applied");
                System.out.println("applied " + id + " " + webhook.position());
            }
            // A reorg removed the log: undo the effect of the original.
            case "log.removed", "transfer.removed" -> setState(webhook.original(), "reversed");
            // No reorg can remove the log any more.
            case "log.finalized", "transfer.finalized" -> setState(webhook.original(), "finalized");
            default -> System.out.println("ignored " + id + " " + webhook.type());
        }
    }

    private void setState(String original, String state) {
        states.replace(original, state);
        System.out.println(state + " " + original);
    }
}
