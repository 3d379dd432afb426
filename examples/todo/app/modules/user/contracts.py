"""What other services hear of users. Fields are added and never taken away: `docs/contracts/events` was promised."""

from app.events.contracts import Topic, contract
from app.modules.user.events import UserDeleted, UserRegistered

USERS = Topic("users")

contract(UserRegistered, "user.registered.v1", USERS, key="user_id")
contract(UserDeleted, "user.deleted.v1", USERS, key="user_id")
