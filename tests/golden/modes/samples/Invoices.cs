using System;
using System.Collections.Generic;
using System.Linq;

namespace Shop.Billing
{
    public enum State { Open, Paid, Late }

    public class Invoice
    {
        public string Number { get; set; } = "";
        public decimal Total { get; set; }
        public State State { get; set; }
        public List<string> Lines { get; } = new List<string> { "head" };
    }

    public class InvoiceBook
    {
        private readonly Dictionary<string, Invoice> _byNumber = new();

        public Invoice Add(string number, decimal total)
        {
            if (string.IsNullOrEmpty(number))
            {
                throw new ArgumentException("a number is needed", nameof(number));
            }
            else if (_byNumber.ContainsKey(number))
            {
                var known = _byNumber[number];
                known.Total += total;
                return known;
            }
            var invoice = new Invoice
            {
                Number = number,
                Total = total,
            };
            _byNumber[number] = invoice;
            return invoice;
        }

        public int CountLate(DateTime today)
        {
            int late = 0;
            foreach (var invoice in _byNumber.Values)
            {
                switch (invoice.State)
                {
                    case State.Open:
                        if (today.Day > 14)
                        {
                            late++;
                        }
                        break;
                    case State.Late:
                        late += 1;
                        break;
                    default:
                        continue;
                }
            }
            return late;
        }

        public bool TryPay(string number, Func<decimal, bool> pay)
        {
            try
            {
                var invoice = _byNumber[number];
                using (var scope = new Scope("pay"))
                {
                    if (!pay(invoice.Total)) return false;
                    invoice.State = State.Paid;
                }
                return true;
            }
            catch (KeyNotFoundException)
            {
                Console.WriteLine($"no invoice {number}");
                return false;
            }
            finally
            {
                Console.WriteLine("done");
            }
        }

        public IEnumerable<string> Numbers(State state)
        {
            return _byNumber.Values
                .Where(each => each.State == state)
                .Select(each =>
                {
                    while (each.Lines.Count > 3)
                    {
                        each.Lines.RemoveAt(0);
                    }
                    return each.Number;
                });
        }
    }
}
