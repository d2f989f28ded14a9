package binder;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import org.springframework.util.unit.DataSize;

/** What was bound, as JSON says it. */
final class Shown {
    private Shown() {}

    static Object of(Object value) {
        if (value == null || value instanceof Boolean || value instanceof Number number && plain(number)) {
            return value;
        }
        if (value instanceof DataSize size) {
            return size.toBytes();
        }
        if (value instanceof Map<?, ?> map) {
            var shown = new LinkedHashMap<String, Object>();
            map.forEach((key, below) -> shown.put(String.valueOf(key), of(below)));
            return shown;
        }
        if (value instanceof Collection<?> items) {
            var shown = new ArrayList<Object>();
            items.forEach(item -> shown.add(of(item)));
            return shown;
        }
        if (value instanceof Types.Pool pool) {
            return fields("size", pool.getSize(), "wait", pool.getWait());
        }
        if (value instanceof Types.Database database) {
            return fields(
                    "url", database.getUrl(),
                    "pool_size", database.getPoolSize(),
                    "pool", database.getPool(),
                    "hosts", database.getHosts(),
                    "replicas", database.getReplicas(),
                    "labels", database.getLabels());
        }
        return value.toString();
    }

    private static boolean plain(Number number) {
        return number instanceof Integer || number instanceof Long || number instanceof Double;
    }

    private static Map<String, Object> fields(Object... pairs) {
        var shown = new LinkedHashMap<String, Object>();
        for (int number = 0; number < pairs.length; number += 2) {
            shown.put((String) pairs[number], of(pairs[number + 1]));
        }
        return shown;
    }
}
