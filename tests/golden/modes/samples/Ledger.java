package books;

import java.util.ArrayList;
import java.util.List;

/** Entries and what they sum to. */
public class Ledger {
    private final List<Integer> entries = new ArrayList<>();

    public Ledger() {
        entries.add(0);
    }

    public int sum(String kind) {
        int total = 0;
        for (int entry : entries) {
            if (entry < 0) {
                total -= entry;
            } else if (entry > 1000) {
                throw new IllegalStateException("too much }");
            } else {
                total += entry;
            }
        }
        switch (kind) {
            case "gross":
                return total * 119 / 100;
            case "net":
                break;
            default:
                total = 0;
        }
        return total;
    }

    public void close() {
        try {
            entries.forEach(entry -> {
                System.out.println(entry + '}');
            });
        } catch (RuntimeException error) {
            entries.clear();
        } finally {
            entries.add(0);
        }
    }

    static String size(int n) {
        if (n < 10)
            return "small";
        else
            return "large";
    }

    enum Kind { GROSS, NET }
}
