import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A small JSON reader, so that the example needs only a JDK. Use Jackson or Gson in an application. */
final class Json {
    private static final Pattern TOKEN = Pattern.compile(
            "\\s*+(?:([{}\\[\\]:,])"
                    + "|\"([^\"\\\\\\p{Cntrl}]*+(?:\\\\.[^\"\\\\\\p{Cntrl}]*+)*+)\""
                    + "|(-?\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)"
                    + "|(true|false|null))");
    private static final Pattern ESCAPE = Pattern.compile("\\\\(?:u([0-9a-fA-F]{4})|(.))");
    private static final int MAX_DEPTH = 100;

    private final String text;
    private final Matcher token;
    private int end;
    private int depth;

    private Json(String text) {
        this.text = text;
        token = TOKEN.matcher(text);
    }

    /** Returns a Map, List, String, Long, Double, Boolean or null. */
    static Object parse(String text) {
        var reader = new Json(text);
        reader.advance();
        Object value = reader.value();
        if (!text.substring(reader.end).isBlank()) {
            throw new IllegalArgumentException("JSON: must end after the first value");
        }
        return value;
    }

    private Object value() {
        if (token.group(2) != null) {
            return unescape(token.group(2));
        }
        if (token.group(3) != null) {
            return number(token.group(3));
        }
        if (token.group(4) != null) {
            return token.group(4).equals("null") ? null : (Object) Boolean.valueOf(token.group(4));
        }
        if (++depth > MAX_DEPTH) {
            throw new IllegalArgumentException("JSON: must be nested less deeply");
        }
        Object value = switch (token.group(1)) {
            case "{" -> object();
            case "[" -> array();
            default -> throw new IllegalArgumentException("JSON: unexpected " + token.group(1));
        };
        depth--;
        return value;
    }

    private Map<String, Object> object() {
        var members = new LinkedHashMap<String, Object>();
        for (advance(); !isMark("}"); ) {
            if (token.group(2) == null) {
                throw new IllegalArgumentException("JSON: expected a name");
            }
            String name = unescape(token.group(2));
            advance();
            expect(":");
            members.put(name, value());
            next("}");
        }
        return members;
    }

    private List<Object> array() {
        var items = new ArrayList<Object>();
        for (advance(); !isMark("]"); ) {
            items.add(value());
            next("]");
        }
        return items;
    }

    /** Moves behind a comma, or to the end of the object or array. */
    private void next(String end) {
        advance();
        if (isMark(end)) {
            return;
        }
        expect(",");
        if (isMark(end)) {
            throw new IllegalArgumentException("JSON: trailing comma");
        }
    }

    private void expect(String mark) {
        if (!isMark(mark)) {
            throw new IllegalArgumentException("JSON: expected " + mark);
        }
        advance();
    }

    private boolean isMark(String mark) {
        return mark.equals(token.group(1));
    }

    private void advance() {
        if (!token.region(end, text.length()).lookingAt()) {
            throw new IllegalArgumentException("JSON: unexpected text at " + end);
        }
        end = token.end();
    }

    private static Object number(String digits) {
        return digits.matches("-?\\d{1,18}") ? (Object) Long.valueOf(digits) : Double.valueOf(digits);
    }

    private static String unescape(String raw) {
        return ESCAPE.matcher(raw)
                .replaceAll(found -> Matcher.quoteReplacement(unescaped(found.group(1), found.group(2))));
    }

    private static String unescaped(String hex, String character) {
        if (hex != null) {
            return String.valueOf((char) Integer.parseInt(hex, 16));
        }
        int index = "bfnrt".indexOf(character);
        return index < 0 ? character : String.valueOf("\b\f\n\r\t".charAt(index));
    }
}
