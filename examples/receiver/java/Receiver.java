import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Webhook receiver: verify, deduplicate, apply, then answer. Needs a JDK 17 or newer, no libraries. */
public final class Receiver {
    private static final Duration TOLERANCE = Duration.ofMinutes(5);
    private static final int MAX_BODY_BYTES = 8 * 1024 * 1024;
    private static final int THREADS = 16;

    private final SecretKeySpec key;
    private final Ledger ledger = new Ledger();

    private Receiver(String secret) {
        var bytes = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
        key = new SecretKeySpec(bytes, "HmacSHA256");
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            exchange.sendResponseHeaders(status(exchange), -1);
        } catch (RuntimeException | GeneralSecurityException error) {
            error.printStackTrace(); // No answer: hookfarm sends the webhook again.
        }
    }

    private int status(HttpExchange exchange) throws IOException, GeneralSecurityException {
        if (!exchange.getRequestMethod().equals("POST")) {
            return 405;
        }
        byte[] body = exchange.getRequestBody().readNBytes(MAX_BODY_BYTES + 1);
        if (body.length > MAX_BODY_BYTES) {
            return 413;
        }
        Headers headers = exchange.getRequestHeaders();
        if (!isValid(headers, body, Instant.now())) {
            return 401;
        }
        Webhook webhook;
        try {
            webhook = Webhook.parse(new String(body, StandardCharsets.UTF_8));
        } catch (IllegalArgumentException malformed) {
            return 400;
        }
        if (!headers.containsKey("webhook-test")) { // A sample of `hookfarm endpoints test` has no effect.
            ledger.apply(headers.getFirst("webhook-id"), webhook);
        }
        return 204;
    }

    /** Standard Webhooks 1.0: one valid v1 signature among those in the header is enough. */
    private boolean isValid(Headers headers, byte[] body, Instant now) throws GeneralSecurityException {
        String id = headers.getFirst("webhook-id");
        String timestamp = headers.getFirst("webhook-timestamp");
        String signatures = headers.getFirst("webhook-signature");
        if (id == null || signatures == null || timestamp == null || !timestamp.matches("\\d{1,11}")) {
            return false;
        }
        Instant signedAt = Instant.ofEpochSecond(Long.parseLong(timestamp));
        if (Duration.between(signedAt, now).abs().compareTo(TOLERANCE) > 0) {
            return false;
        }
        var mac = Mac.getInstance(key.getAlgorithm());
        mac.init(key);
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        String expected = "v1," + Base64.getEncoder().encodeToString(mac.doFinal(body));
        for (String offered : signatures.split(" ")) {
            if (MessageDigest.isEqual(offered.getBytes(), expected.getBytes())) { // In constant time.
                return true;
            }
        }
        return false;
    }

    /** The part of the body that this receiver uses. */
    record Webhook(String type, String original, Map<?, ?> data) {
        static Webhook parse(String text) {
            if (Json.parse(text) instanceof Map<?, ?> body
                    && body.get("type") instanceof String type
                    && body.get("data") instanceof Map<?, ?> data) {
                return new Webhook(type, (String) body.get("original"), data);
            }
            throw new IllegalArgumentException("body: must be an object with a type and data");
        }

        /** The identity on the chain: block hash and log index, or t and transaction index of a transfer. */
        String position() {
            Object logIndex = data.get("log_index");
            return data.get("block_hash") + ":" + (logIndex != null ? logIndex : "t" + data.get("transaction_index"));
        }
    }

    public static void main(String[] arguments) throws IOException {
        var environment = System.getenv();
        var receiver = new Receiver(environment.get("WEBHOOK_SECRET"));
        var host = environment.getOrDefault("HOST", "127.0.0.1");
        var port = Integer.parseInt(environment.getOrDefault("PORT", "9000"));
        var server = HttpServer.create(new InetSocketAddress(host, port), 1024);
        server.setExecutor(Executors.newFixedThreadPool(THREADS));
        server.createContext("/", receiver::handle);
        server.start();
        System.out.printf("listening on http://%s:%d%n", host, server.getAddress().getPort());
    }
}
