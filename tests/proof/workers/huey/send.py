import sys

from ledger import orders
from shop import handle

for order in orders(sys.argv[1:]):
    handle(*order)
